"""The pipeline that counts the words of every file and ranks them."""
