"""The observatory in a browser: live curves, the stage graph, moments, and a browser of all stored rollouts."""
