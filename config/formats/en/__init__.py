"""In English: as the API and the documents' tables write them, so that one page has one way of writing a day."""
