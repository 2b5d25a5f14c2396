// The SDK for JavaScript: submit, describe, page, tag, read logs, and errors by their names.
import { BatchClient, DescribeJobsCommand, ListTagsForResourceCommand, RegisterJobDefinitionCommand,
  SubmitJobCommand, TagResourceCommand, TerminateJobCommand, paginateListJobs } from "@aws-sdk/client-batch";
import { CloudWatchLogsClient, GetLogEventsCommand, paginateFilterLogEvents } from "@aws-sdk/client-cloudwatch-logs";
import assert from "node:assert";

const batch = new BatchClient({});
const logs = new CloudWatchLogsClient({});
await batch.send(new RegisterJobDefinitionCommand({
  jobDefinitionName: "js", type: "container",
  containerProperties: { image: "shell", command: ["echo hello"], vcpus: 1, memory: 64 },
}));
const request = { jobName: "js", jobQueue: "local", jobDefinition: "js" };
const sent = await Promise.all([...Array(100)].map(() => batch.send(new SubmitJobCommand(request))));
const ids = sent.map((job) => job.jobId);
assert.equal(new Set(ids).size, 100);
let jobs;
do {
  jobs = (await batch.send(new DescribeJobsCommand({ jobs: ids }))).jobs;
  await new Promise((done) => setTimeout(done, 200));
} while (jobs.some((job) => job.status !== "SUCCEEDED" && job.status !== "FAILED"));
assert(jobs.every((job) => job.status === "SUCCEEDED" && job.container.exitCode === 0));
let listed = 0;
for await (const page of paginateListJobs({ client: batch, pageSize: 30 }, { jobQueue: "local", jobStatus: "SUCCEEDED" }))
  listed += page.jobSummaryList.length;
assert.equal(listed, 100);
const logGroupName = "/aws/batch/job";
const { events } = await logs.send(new GetLogEventsCommand({ logGroupName, logStreamName: jobs[0].container.logStreamName }));
assert.deepEqual(events.map((event) => event.message), ["hello"]);
let found = 0;
for await (const page of paginateFilterLogEvents({ client: logs, pageSize: 30 }, { logGroupName, filterPattern: "hello" }))
  found += page.events.length;
assert.equal(found, 100);
const resourceArn = jobs[0].jobArn;
await batch.send(new TagResourceCommand({ resourceArn, tags: { a: "b c" } }));
assert.deepEqual((await batch.send(new ListTagsForResourceCommand({ resourceArn }))).tags, { a: "b c" });
await batch.send(new TerminateJobCommand({ jobId: ids[0], reason: "ended already" }));
const wrong = batch.send(new SubmitJobCommand({ ...request, jobQueue: "none" }));
await assert.rejects(wrong, { name: "ClientException", message: "JobQueue none not found." });
console.log("all right");
