"""What mkdocs calls when it builds the site: pages that are made from the program itself."""
