from llmops_jobs.cli import main

main()
