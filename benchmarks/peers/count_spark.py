"""PySpark on this machine, `local[threads]`; the result is a folder of parts."""

from common import NO_RUN, UAX29, task
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

given = task()
spark = (
    SparkSession.builder.master(f"local[{given.threads}]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", str(2 * given.threads))
    .config("spark.driver.memory", "4g")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.log.level", "ERROR")
    .getOrCreate()
)
line = f.lower("value")
words = f.regexp_extract_all(line, f.lit(UAX29), f.lit(0)) if given.exact else f.split(line, NO_RUN)
(
    spark.read.option("recursiveFileLookup", "true")
    .text(str(given.source))
    .select(f.explode(words).alias("word"))
    .where("word <> ''")
    .groupBy("word")
    .count()
    .write.csv(str(given.output), sep="\t", quote="", escape="", mode="overwrite")
)
spark.stop()
