"""The stage `migrate`: count the words of each file."""
