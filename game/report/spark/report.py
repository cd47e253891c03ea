#!/usr/bin/env python3
"""The report of players, by Spark, over the Parquet of Kamado's event log.

Counts what "kamado game report" counts, for logs that one machine cannot read:

    spark-submit report.py --events s3a://bucket/parquet --from 2026-11-01 --to 2026-11-30

--events is the folder in which the folder "events" lies; it may be given several times. The report is one line of JSON on
standard output, the same as that of "kamado game report -o json" but for "made". Days are UTC.
"""

import argparse
import datetime
import json

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

RETENTION_DAYS = [1, 7, 30]
POINTS_IN = ["grant"]
POINTS_OUT = ["spend", "confirm", "expire", "revoke"]
ACTIVE_TYPES = [
    "user.created", "user.signed_in", "session.open", "world.enter", "chat.say", "chat.whisper",
    "points.spend", "points.reserve", "points.confirm", "points.transfer",
]
# A subject that is a user: 1 to 2^64-1 in decimal, as the program reads it.
USER = r"^[0-9]{1,20}$"


def arguments():
    parser = argparse.ArgumentParser(description="The report of players, by Spark.")
    parser.add_argument("--events", action="append", required=True, help="folder or bucket in which the folder events lies")
    parser.add_argument("--from", dest="first", required=True, type=datetime.date.fromisoformat, help="first day, YYYY-MM-DD")
    parser.add_argument("--to", dest="last", required=True, type=datetime.date.fromisoformat, help="last day, YYYY-MM-DD")
    parser.add_argument("--today", type=datetime.date.fromisoformat, default=datetime.datetime.now(datetime.timezone.utc).date(),
                        help="day that is not over yet (default: today)")
    args = parser.parse_args()
    if args.last < args.first:
        parser.error("the period ends before it begins")
    return args


def read(spark, args):
    """Events of the period, each once: a segment that was written twice has the same ids."""
    tables = [spark.read.parquet(root.rstrip("/") + "/events/room=game").drop("room") for root in args.events]
    events = tables[0]
    for table in tables[1:]:
        events = events.unionByName(table)
    events = events.where(F.col("day").between(F.lit(args.first), F.lit(args.last))).dropDuplicates(["id"])
    return events.select("day", "type", "subject", "attributes").cache()


def by_day(rows):
    return {row["day"].isoformat(): row for row in rows}


def counts(events):
    """One row a day of what is only counted."""
    amount = F.col("attributes")["amount"].try_cast("bigint")
    op = F.substring_index(F.col("type"), ".", -1)
    points = F.col("type").startswith("points.") & amount.isNotNull()
    one = lambda kind: F.sum(F.when(F.col("type") == kind, 1).otherwise(0))
    return by_day(events.groupBy("day").agg(
        one("user.created").alias("new"), one("session.open").alias("sessions"), one("chat.say").alias("messages"),
        one("chat.whisper").alias("whispers"),
        F.sum(F.when(points & op.isin(POINTS_IN), amount).otherwise(0)).alias("points_in"),
        F.sum(F.when(points & op.isin(POINTS_OUT), amount).otherwise(0)).alias("points_out"),
    ).collect())


def users(events):
    """Days on which each user was active, and the last day on which it was made."""
    user = F.col("subject").rlike(USER) & (F.col("subject").cast("decimal(20,0)") > 0)
    active = events.where(user & F.col("type").isin(ACTIVE_TYPES)).select("day", F.col("subject").cast("decimal(20,0)").alias("uid"))
    active = active.distinct().cache()
    made = events.where(user & (F.col("type") == "user.created")).groupBy(F.col("subject").cast("decimal(20,0)").alias("uid"))
    return active, made.agg(F.max("day").alias("made"))


def retention(active, made, args):
    """{cohort: {age: users}} of the days that are over."""
    together = active.join(made, "uid").where((F.col("day") < F.lit(args.today)) & F.datediff("day", "made").isin(RETENTION_DAYS))
    found = {}
    for row in together.groupBy("made", F.datediff("day", "made").alias("age")).agg(F.count("*").alias("n")).collect():
        found.setdefault(row["made"], {})[row["age"]] = row["n"]
    return found


def flows(events):
    amount = F.col("attributes")["amount"].try_cast("bigint")
    points = events.where(F.col("type").startswith("points.")).select(F.substring("type", 8, 4096).alias("op"), amount.alias("amount"))
    rows = points.where(F.col("amount").isNotNull()).groupBy("op").agg(F.count("*").alias("count"), F.sum("amount").alias("amount")).collect()
    return sorted(({"op": r["op"], "count": r["count"], "amount": r["amount"]} for r in rows), key=lambda r: r["op"].encode())


def areas(events):
    name = F.coalesce(F.col("attributes")["area"], F.lit("")).alias("area")
    seconds = F.coalesce(F.col("attributes")["seconds"].try_cast("bigint"), F.lit(0))
    one = lambda kind, what: F.sum(F.when(F.col("type") == kind, what).otherwise(0))
    rows = events.where(F.col("type").isin("world.enter", "world.leave", "chat.say")).groupBy(name).agg(
        one("world.enter", 1).alias("visits"), one("world.leave", seconds).alias("seconds"), one("chat.say", 1).alias("messages")).collect()
    return sorted(({"area": r["area"], "visits": r["visits"], "seconds": r["seconds"], "messages": r["messages"]} for r in rows), key=lambda r: r["area"].encode())


def report(spark, args):
    events = read(spark, args)
    counted = counts(events)
    active, made = users(events)
    here = by_day(active.groupBy("day").agg(F.count("*").alias("n")).collect())
    came_back = retention(active, made, args)
    days, cohorts = [], []
    whole = {"active": active.select("uid").distinct().count(), "new": 0, "sessions": 0, "messages": 0, "whispers": 0, "points_in": 0, "points_out": 0}
    for i in range((args.last - args.first).days + 1):
        day = args.first + datetime.timedelta(days=i)
        row = counted.get(day.isoformat())
        out = {"day": day.isoformat(), "active": here[day.isoformat()]["n"] if day.isoformat() in here else 0}
        for key in ("new", "sessions", "messages", "points_in", "points_out"):
            out[key] = row[key] if row else 0
            whole[key] += out[key]
        whole["whispers"] += row["whispers"] if row else 0
        days.append(out)
        if out["new"]:
            back = []
            for age in RETENTION_DAYS:
                then = day + datetime.timedelta(days=age)
                known = then <= args.last and then < args.today
                back.append(came_back.get(day, {}).get(age, 0) if known else -1)
            cohorts.append({"day": day.isoformat(), "users": out["new"], "back": back})
    return {"from": args.first.isoformat(), "to": args.last.isoformat(), "days": days, "retention": cohorts,
            "points": flows(events), "areas": areas(events), "totals": whole}


def main():
    args = arguments()
    spark = SparkSession.builder.appName("kamado-report").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    try:
        print(json.dumps(report(spark, args), separators=(",", ":")))
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
