"""Models for other programs: folders, files and Modelfiles, and what the runtime makes of them."""
