"""Embolus segmentation: the stage, and its networks by name.

Each takes float32 `[n, slices, y, x]` and answers logits `[n, 2, y, x]`, embolus and artery; in training some answer
a list of them, the main answer first. Seven slices go in by default, fifteen into `artery_aware_3d`. Of a sample with
more a network sees the middle ones, so that an ensemble may have members of both. Parameters are those by default.

| name                     | parameters | paper                                                                       |
|--------------------------|-----------:|-----------------------------------------------------------------------------|
| `attention_resunet`      |  2,052,446 | attention gates: Oktay, MIDL 2018; residual blocks: He, CVPR 2016           |
| `tiny_attention_resunet` |    124,540 | the same at three levels                                                    |
| `unet`                   |  7,853,730 | U-Net: Ronneberger, MICCAI 2015                                             |
| `tiny_unet`              |    474,018 | the same at three levels                                                    |
| `r2unet`                 |  8,297,826 | R2U-Net, recurrent residual blocks: Alom, arXiv:1802.06955                  |
| `attention_unet`         |  8,203,814 | Attention U-Net: Oktay, MIDL 2018                                           |
| `tiny_attention_unet`    |    494,884 | the same at three levels                                                    |
| `attention_r2unet`       |  8,647,910 | both: Alom, arXiv:1802.06955; Oktay, MIDL 2018                              |
| `nested_unet`            |  9,164,712 | UNet++, deep supervision: Zhou, IEEE TMI 2020                               |
| `xnet`                   |  3,113,442 | XNet, two passes: Bullock, SPIE Medical Imaging 2019                        |
| `nfn_plus`               |  1,139,556 | NFN+, network followed network: Wu, Neural Networks 2020                    |
| `u2net`                  | 44,026,022 | U2-Net, nested blocks, deep supervision: Qin, Pattern Recognition 2020      |
| `u2netp`                 |  1,136,966 | U2-Net-p, its small form: the same                                          |
| `artery_aware_3d`        |  1,622,882 | in 3D, arteries first: after AANet, MICCAI 2022                             |
| `smp`                    | 14,340,898 | any of segmentation-models-pytorch; here its U-Net on a ResNet-18           |
The coarse stage sees whole volumes; its networks stand beside it, in `segmenters.coarse.NETWORKS`:
`attention_resunet_3d` (2,566,146 parameters; U-Net in 3D: Cicek, MICCAI 2016; arteries first: after AANet).
"""

from __future__ import annotations

from cascade.core.stage import Learned
from segmenters.coarse import CoarseEnsemble
from segmenters.embolus import EmbolusEnsemble

STAGES: dict[str, type[Learned]] = {CoarseEnsemble.name: CoarseEnsemble, EmbolusEnsemble.name: EmbolusEnsemble}

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
