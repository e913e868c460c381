"""Embolus segmentation: the stage, and its networks by name."""

from __future__ import annotations

from cascade.stage import Learned
from segmenters.embolus import EmbolusEnsemble

STAGES: dict[str, type[Learned]] = {EmbolusEnsemble.name: EmbolusEnsemble}

NETWORKS: dict[str, str] = {
    "attention_resunet": "segmenters.attention_resunet:AttentionResUNet",
    "tiny_attention_resunet": "segmenters.attention_resunet:TinyAttentionResUNet",
    "smp": "segmenters.smp:Smp",
}
