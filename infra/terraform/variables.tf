variable "bucket" {
  description = "Name of the bucket to create."
  type        = string
}

variable "root_prefix" {
  description = "Prefix of VIDEOBERT_ROOT in the bucket, without slashes at its ends."
  type        = string
  default     = "videobert"

  validation {
    condition     = length(var.root_prefix) > 0 && trim(var.root_prefix, "/") == var.root_prefix
    error_message = "root_prefix must not be empty, nor begin or end with a slash."
  }
}

variable "source_prefix" {
  description = "Prefix of the videos in the bucket; the pipeline only reads it."
  type        = string
  default     = "videos"
}

variable "log_prefix" {
  description = "Prefix of Airflow's task logs in the bucket."
  type        = string
  default     = "airflow-logs"
}
