"""File Batch: files of requests, answered in the background at half the price.

`states` is the life of a batch as a table, `batch` its record, `input_file` reads and checks what was uploaded,
`result_lines` writes what comes out, `runner` does the work, `files_api` and `batches_api` are the endpoints.
"""
