"""Workers: places where one object lives and answers calls, in this process, in another, or on another machine."""
