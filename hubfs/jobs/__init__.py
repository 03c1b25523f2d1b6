"""Long work as durable jobs: queued, run behind readers, resumed after any end."""
