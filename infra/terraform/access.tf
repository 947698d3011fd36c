# Attach `pipeline` to the identities of the Ray pods and of Airflow's pods, and `logs` to Airflow's as well.

data "aws_iam_policy_document" "pipeline" {
  # No condition on the prefix: S3 answers 404 for an object that is not there only to those who may list the bucket,
  # and 403 to all others. The pipeline asks for objects that are not there yet all the time.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]
  }

  statement {
    sid       = "ReadVideos"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.data.arn}/${var.source_prefix}/*"]
  }

  # No right to delete versions: whoever steals these keys can hide data, not destroy it.
  statement {
    sid       = "ReadAndWriteRoot"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.data.arn}/${var.root_prefix}/*"]
  }
}

data "aws_iam_policy_document" "logs" {
  statement {
    sid       = "ReadAndWriteLogs"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.data.arn}/${var.log_prefix}/*"]
  }
}

resource "aws_iam_policy" "pipeline" {
  name   = "${var.bucket}-pipeline"
  policy = data.aws_iam_policy_document.pipeline.json
}

resource "aws_iam_policy" "logs" {
  name   = "${var.bucket}-airflow-logs"
  policy = data.aws_iam_policy_document.logs.json
}
