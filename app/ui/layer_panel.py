"""What is shown on the picture: one toggle for each layer."""

from __future__ import annotations

from PySide6.QtWidgets import QHBoxLayout, QWidget

from app.ui.actions import BY_KEY
from app.ui.buttons import ActionButton, ToggleButton
from app.ui.controller import Controller
from app.ui.layers import Layer


class LayerPanel(QWidget):
    """One row of toggles, and the button for the list of keys."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._toggles = {layer: ToggleButton(BY_KEY[layer.value], controller) for layer in Layer}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        for toggle in self._toggles.values():
            row.addWidget(toggle)
        row.addStretch(1)
        row.addWidget(ActionButton(BY_KEY["help"], controller))
        controller.layers_changed.connect(self._show)
        self._show(controller.layers)

    def _show(self, layers: frozenset[Layer]) -> None:
        for layer, toggle in self._toggles.items():
            toggle.setChecked(layer in layers)
