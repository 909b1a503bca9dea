# rireid on a CPU: docker build -t rireid . && docker run --rm -v "$PWD:/work" rireid --help
# For training, decoding processes need room: docker run --shm-size=1g ...
FROM python:3.12-slim

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY rireid_jax rireid_jax
COPY configs configs
RUN pip install --no-cache-dir --constraint constraints.txt ".[export,gallery,page,parquet,report]" \
    && rm -rf /src

# Runs, data and galleries are the user's: mount a folder at /work.
WORKDIR /work
ENV MPLCONFIGDIR=/tmp/matplotlib HOME=/tmp
ENTRYPOINT ["rireid"]
CMD ["--help"]
