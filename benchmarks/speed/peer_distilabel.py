"""The peer of `annotation.py`: the same short question to the same server, by distilabel.

Run by `annotation.py --distilabel PYTHON`, where PYTHON has `distilabel[openai]` and
`requests`; prints the seconds that the pipeline took.
"""

import sys
import time

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration


def main(base_url: str, rows: int, in_flight: int) -> None:
    """Ask, and print the seconds."""
    texts = (f"Give emotions, aus, situations. Text: Day {n}, it rains." for n in range(rows))
    data = [{"instruction": text} for text in texts]
    with Pipeline(name="peer") as pipeline:
        load = LoadDataFromDicts(data=data, batch_size=in_flight)
        llm = OpenAILLM(model="stand-in", base_url=base_url, api_key="none")
        load >> TextGeneration(llm=llm, input_batch_size=in_flight)
    start = time.perf_counter()
    pipeline.run(use_cache=False)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
