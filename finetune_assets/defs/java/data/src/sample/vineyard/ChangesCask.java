/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.vineyard;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a method that changes the books of the vineyard, so that the audit can find it.
 *
 * <p>The audit reads it by reflection; it has no effect of its own.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.METHOD)
public @interface ChangesCask {

  /** Says in a few words why the cask is changed. */
  String value();

  /** Names the stages in which the change is allowed; all of them when empty. */
  CaskState[] allowedIn() default {};

  /** Gives the fewest litres that a cask must have to be changed in this way. */
  int fewestLitres() default 0;

  /** Tells whether the vault has to be told of the change as well. */
  boolean tellVault() default true;

  /** Names the form on paper that goes with the change, with the mark of the vineyard. */
  String form() default "vineyard-0";

  /** Says what is written into the journal when casks are changed by several people at once. */
  Class<? extends RuntimeException> onConflict() default IllegalStateException.class;
}
