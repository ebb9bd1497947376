"""The page that one leaves open beside the bot."""
