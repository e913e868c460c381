"""Embolus segmentation: the stage, and its networks by name."""

from __future__ import annotations

from cascade.stage import Learned
from segmenters.embolus import EmbolusEnsemble

STAGES: dict[str, type[Learned]] = {EmbolusEnsemble.name: EmbolusEnsemble}

NETWORKS: dict[str, str] = {
    "attention_resunet": "segmenters.attention_resunet:AttentionResUNet",
    "tiny_attention_resunet": "segmenters.attention_resunet:TinyAttentionResUNet",
    "unet": "segmenters.unet:UNet",
    "tiny_unet": "segmenters.unet:TinyUNet",
    "r2unet": "segmenters.r2unet:R2UNet",
    "attention_unet": "segmenters.attention_unet:AttentionUNet",
    "tiny_attention_unet": "segmenters.attention_unet:TinyAttentionUNet",
    "attention_r2unet": "segmenters.attention_r2unet:AttentionR2UNet",
    "nested_unet": "segmenters.nested_unet:NestedUNet",
    "xnet": "segmenters.xnet:XNet",
    "nfn_plus": "segmenters.nfn_plus:NFNPlus",
    "u2net": "segmenters.u2net:U2Net",
    "u2netp": "segmenters.u2net:U2NetP",
    "artery_aware_3d": "segmenters.artery_aware_3d:ArteryAware3D",
    "smp": "segmenters.smp:Smp",
}
