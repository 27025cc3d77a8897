print("pivotd")
