"""Stack `observability`: who is notified of what, and what it may cost."""

from __future__ import annotations

import functools

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from wordfreq_infra.compute import ComputeStack
from wordfreq_infra.options import Options
from wordfreq_infra.storage import StorageStack, log_group


def alarm(
    scope: Construct,
    id: str,
    metric: cloudwatch.IMetric,
    threshold: float,
    about: str,
    *,
    options: Options,
    topic: sns.ITopic,
    below: bool = False,
    periods: int = 1,
    silence: bool = False,
) -> None:
    """Alert when a metric reaches a threshold.

    Args:
        scope: whose alarm it is.
        id: of the alarm, which is its name too, behind the deployment's.
        metric: with its statistic and period.
        threshold: from which on it alerts.
        about: what that means, and what to look at.
        options: of the deployment.
        topic: of the alerts.
        below: whether it alerts below the threshold instead.
        periods: how many of the metric's periods in a row.
        silence: whether no data counts as a breach.
    """
    compare, missing = cloudwatch.ComparisonOperator, cloudwatch.TreatMissingData
    cloudwatch.Alarm(
        scope,
        id,
        alarm_name=f"{options.name}-{id}",
        alarm_description=about,
        metric=metric,
        threshold=threshold,
        evaluation_periods=periods,
        comparison_operator=compare.LESS_THAN_THRESHOLD
        if below
        else compare.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        treat_missing_data=missing.BREACHING if silence else missing.NOT_BREACHING,
    ).add_alarm_action(actions.SnsAction(topic))


class ObservabilityStack(cdk.Stack):
    """Alerts by SNS, Batch's events kept as a log, alarms of the event queue, a budget."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        options: Options,
        compute: ComputeStack,
        storage: StorageStack,
    ) -> None:
        super().__init__(scope, id, description="wordfreq: alerts, event log, budget")
        self._options = options
        self._queue_arn = compute.queue_arn
        self.topic = self._topic()
        if options.email:
            self.topic.add_subscription(subscriptions.EmailSubscription(options.email))
        self._rule("JobFailed", "a job ended as FAILED", "Batch Job State Change", failed=True)
        self._rule("QueueBlocked", "a queue is blocked by its first job", "Batch Job Queue Blocked")
        self._event_log()
        self._alarms(storage)
        if options.budget:
            self._budget()

    def _topic(self) -> sns.Topic:
        # SNS's own key would let none of these in; the right to publish brings that to this key.
        # EventBridge gets both from its rules, without a condition: KMS would never find it met.
        key = kms.Key(
            self,
            "Key",
            description=f"Alerts of {self._options.name}",
            enable_key_rotation=True,
            removal_policy=cdk.RemovalPolicy.DESTROY,
            pending_window=cdk.Duration.days(7),
        )
        topic = sns.Topic(
            self,
            "Alerts",
            topic_name=f"{self._options.name}-alerts",
            master_key=key,
            enforce_ssl=True,
        )
        for service in ("cloudwatch", "budgets"):
            principal = iam.ServicePrincipal(
                f"{service}.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
            topic.grant_publish(principal)
        return topic

    def _rule(self, id: str, about: str, detail_type: str, *, failed: bool = False) -> None:
        detail: dict[str, object] = {"jobQueue": [self._queue_arn]}
        if failed:
            detail["status"] = ["FAILED"]
            # The children of an array tell nothing that their parent doesn't.
            detail["arrayProperties"] = {"index": [{"exists": False}]}
        events.Rule(
            self,
            id,
            rule_name=f"{self._options.name}-{detail_type.split()[-1].lower()}",
            description=f"Tells that {about}",
            event_pattern=events.EventPattern(
                source=["aws.batch"],
                detail_type=[detail_type],
                detail=detail if failed else None,
                resources=None if failed else [self._queue_arn],
            ),
            targets=[targets.SnsTopic(self.topic)],
        )

    def _event_log(self) -> None:
        """Every state change as a line of a log. By plain CloudFormation: L2 brings a function."""
        group = log_group(self, "Events", "batch-events", self._options)
        logs.ResourcePolicy(
            self,
            "EventsMayWrite",
            resource_policy_name=f"{self._options.name}-batch-events",
            policy_statements=[
                iam.PolicyStatement(
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["logs:CreateLogStream", "logs:PutLogEvents"],
                    resources=[f"{group.log_group_arn}:*"],
                )
            ],
        )
        events.CfnRule(
            self,
            "AllEvents",
            name=f"{self._options.name}-batch-events",
            description="Keeps every state change of the queue's jobs",
            event_pattern={
                "source": ["aws.batch"],
                "detail-type": ["Batch Job State Change"],
                "detail": {"jobQueue": [self._queue_arn]},
            },
            targets=[
                events.CfnRule.TargetProperty(
                    id="log",
                    arn=self.format_arn(
                        service="logs",
                        resource="log-group",
                        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
                        resource_name=group.log_group_name,
                    ),
                )
            ],
        )

    def _alarms(self, storage: StorageStack) -> None:
        add = functools.partial(alarm, self, options=self._options, topic=self.topic)
        minutes = cdk.Duration.minutes
        for prefix, dead, queue in (
            ("", storage.dead_letters, storage.events),
            ("Csv", storage.csv_dead_letters, storage.csv_events),
        ):
            number = dead.metric_approximate_number_of_messages_visible(period=minutes(5))
            about = "messages that nothing could be done with"
            add(f"{prefix}DeadLetters", number, 1, about)
            age = queue.metric_approximate_age_of_oldest_message(period=minutes(5))
            about = "nobody reads the events: is the sensor on?"
            add(f"{prefix}EventsUnread", age, 3600, about)

    def _budget(self) -> None:
        kind = budgets.CfnBudget
        notifications = [
            kind.NotificationWithSubscribersProperty(
                notification=kind.NotificationProperty(
                    comparison_operator="GREATER_THAN",
                    notification_type=when,
                    threshold=100,
                    threshold_type="PERCENTAGE",
                ),
                subscribers=[
                    kind.SubscriberProperty(subscription_type="SNS", address=self.topic.topic_arn)
                ],
            )
            for when in ("FORECASTED", "ACTUAL")
        ]
        kind(
            self,
            "Budget",
            budget=kind.BudgetDataProperty(
                budget_name=f"{self._options.name}-monthly",
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=kind.SpendProperty(amount=self._options.budget, unit="USD"),
                # The tag must be activated once as a cost allocation tag of the account.
                cost_filters={"TagKeyValue": [f"user:project${self._options.name}"]},
            ),
            notifications_with_subscribers=notifications,
        )
