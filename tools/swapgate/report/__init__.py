"""Views of verdicts.json: HTML, terminal, Markdown, JUnit properties."""
