"""HTTP and WebSocket server, Realtime protocol, and the pages."""
