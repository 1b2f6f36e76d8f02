"""A web application that shows call logs, with FastAPI. `uvicorn web_app.app:app` runs it."""
