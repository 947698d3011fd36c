"""Run Ray jobs from Airflow 3: an operator, its trigger, a hook and a retry policy.

    from airflow_ray_jobs.ray_job import RayJobOperator

    RayJobOperator(
        task_id="features",
        entrypoint=["python", "-m", "my_job", "--batch", "{{ params.batch }}"],
        conn_id="ray_default",                       # host http://HEAD:8265, password = token
        result_uri="s3://bucket/results/{submission_id}.json",
        deadline=timedelta(hours=6),
        retries=2,
    )

and, as the last act of the job:

    result = {"submission_id": os.environ["RAY_JOB_SUBMISSION_ID"], "rows": 123}
    with fsspec.open(os.environ["RAY_JOB_RESULT_URI"], "w") as file:
        json.dump(result, file)

Where to look: `ray_job` the task, `attempts` when a job is started, watched or reused, `watch` how it is followed,
`jobs_api` and `kuberay` the two servers, `errors` and `retry` what a failure means.
Knows Airflow, HTTP and fsspec; needs no Ray installation on the Airflow side.
"""

__version__ = "0.2.0"
