output "root" {
  description = "Value of VIDEOBERT_ROOT."
  value       = "s3://${aws_s3_bucket.data.id}/${var.root_prefix}"
}

output "policies" {
  description = "ARNs to attach to the pods' roles."
  value       = { pipeline = aws_iam_policy.pipeline.arn, logs = aws_iam_policy.logs.arn }
}

output "registries" {
  description = "Where to push the images."
  value       = { for name, repository in aws_ecr_repository.image : name => repository.repository_url }
}
