"""Kill a durable broker again and again, amid traffic, and see whether it kept what it promised."""
