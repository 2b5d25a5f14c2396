"""From the bytes of an object to text, and from text to words."""
