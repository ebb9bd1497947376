"""The bot's side: what a bot, or a host that runs one, needs to ask the service."""
