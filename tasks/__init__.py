"""One module or package per stage: plain functions do the work, a thin Prefect task wraps each stage."""
