"""The console: server-rendered pages, live by server-sent events. A thin door; no rule lives here."""
