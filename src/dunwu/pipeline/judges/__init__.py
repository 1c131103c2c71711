"""Who says what no rule can: reward models, models behind servers, functions of users."""
