"""Case lists of this project: the first users of the plugin."""
