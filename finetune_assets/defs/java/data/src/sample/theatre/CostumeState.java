/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.theatre;

import java.util.Optional;

/** The stages that a costume goes through in the theatre, in their usual order. */
public enum CostumeState {
  /** The costume is sketched. */
  SKETCHED(true),
  /** The costume is sewn. */
  SEWN(true),
  /** The costume is fitted. */
  FITTED(true),
  /** The costume is worn. */
  WORN(false);

  private final boolean open;

  CostumeState(boolean open) {
    this.open = open;
  }

  /** Tells whether somebody still has to act on a costume in this stage. */
  public boolean isOpen() {
    return open;
  }

  /**
   * Finds the stage of a costume that usually follows; the whole way is sketched, sewn, fitted, worn.
   *
   * @return the next stage of the costume, or nothing once it is worn
   */
  public Optional<CostumeState> next() {
    CostumeState[] costumeStates = values();
    int following = ordinal() + 1;
    return following < costumeStates.length ? Optional.of(costumeStates[following]) : Optional.empty();
  }
}
