"""Objects in S3 and in local folders behind one interface."""
