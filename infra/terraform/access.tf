# Attach `pipeline` to the identity of the Ray pods and of Airflow's scheduler and triggerer, `logs` to Airflow alone.

data "aws_iam_policy_document" "pipeline" {
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]

    # The empty prefix, exactly: `check_root` asks whether the bucket is there. Its listing shows names, no bytes.
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["", var.root_prefix, "${var.root_prefix}/*", var.source_prefix, "${var.source_prefix}/*"]
    }
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
    sid       = "ListLogs"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.data.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${var.log_prefix}/*"]
    }
  }

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
