"""What a run says: texts and series in, numbers and sentences out. Reads run directories only; no pages."""
