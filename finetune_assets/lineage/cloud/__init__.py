"""The graph's ways into the cloud: jobs planned, submitted and watched, models asked and deployed, all looked after."""
