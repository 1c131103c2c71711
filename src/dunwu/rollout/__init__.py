"""From prompts to graded completions: the face of every engine, the engines, and the seeds that they draw from."""
