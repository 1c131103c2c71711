"""What a chain of thought does, read off its text: words of reflection, behaviours, language, repetition. No model."""
