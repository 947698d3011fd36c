"""Run Ray jobs from Airflow 3: an operator, its trigger, a hook and a retry policy.

    from operators.ray_job import RayJobOperator

Knows Airflow, HTTP and fsspec; needs no Ray installation on the Airflow side.
"""
