"""Plans, receipts and what is known of files: the documents the stages share."""
