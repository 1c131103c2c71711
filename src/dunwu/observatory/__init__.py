"""Makes what happened in a run visible: live in the terminal, and as one HTML file. Reads run directories only."""
