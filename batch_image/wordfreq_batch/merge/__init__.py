"""The stage `merge`: add up the counts and rank the words."""
