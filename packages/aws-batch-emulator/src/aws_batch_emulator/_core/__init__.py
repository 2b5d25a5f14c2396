"""Jobs, queues and their states: what the API and the runners work on."""
