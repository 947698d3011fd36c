resource "aws_ecr_repository" "image" {
  for_each             = toset(["videobert-airflow", "videobert-ray"])
  name                 = each.key
  image_tag_mutability = "IMMUTABLE" # a tag in values or manifests names one image for ever

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  for_each   = aws_ecr_repository.image
  repository = each.value.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Layers that no tag names any more"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
    }]
  })
}
