"""The HTTP side: server, wire format, and the pages under `/_emulator`."""
